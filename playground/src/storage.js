/**
 * Where GraphiQL keeps tabs and settings: the browser's storage, under names of this endpoint's own. Whatever else
 * was ever served at this port has its tabs, and they are not ours.
 */
export function storageOf(path) {
  const prefix = `tidings:${path}:`;
  const browser = browserStorage();
  const own = () => Object.keys(browser).filter((key) => key.startsWith(prefix));
  return {
    getItem: (key) => browser.getItem(prefix + key),
    setItem: (key, value) => browser.setItem(prefix + key, value),
    removeItem: (key) => browser.removeItem(prefix + key),
    clear: () => own().forEach((key) => browser.removeItem(key)),
    get length() {
      return own().length;
    },
  };
}

/** A browser may forbid it; then all lasts as long as the page. */
function browserStorage() {
  try {
    localStorage.setItem('tidings:probe', '');
    localStorage.removeItem('tidings:probe');
    return localStorage;
  } catch {
    const methods = {
      getItem: (key) => (Object.hasOwn(kept, key) ? kept[key] : null),
      setItem: (key, value) => (kept[key] = String(value)),
      removeItem: (key) => delete kept[key],
    };
    // Not enumerable, as those of the browser's are not: what is listed is what is kept.
    const kept = Object.defineProperties({}, Object.fromEntries(
      Object.entries(methods).map(([name, value]) => [name, { value }]),
    ));
    return kept;
  }
}
