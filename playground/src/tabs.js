/**
 * The tabs, as GraphiQL keeps them in its storage: written before it reads them, so that a first visit finds the
 * examples, and a later one finds its own tabs with what the demo calls things now.
 *
 * A tab has one more property than GraphiQL's: `init`, the text of its init payload. It is inside of an object, as
 * `headers`, because GraphiQL leaves out what has that name when it is told not to keep headers.
 */
import { examples } from './examples.js';

const TABS = 'graphiql:tabState';
const EARLIER = 'earlier';
/** Demos, and invoices of a demo, whose names are still known: old tabs have them in their texts. */
const EARLIER_KEPT = 50;

export const initOf = (tab) => tab?.init?.headers ?? null;
export const withInit = (text) => ({ init: { headers: text } });

export class Tabs {
  #storage;
  /** @type {import('./examples.js').Facts[]} */
  #earlier;

  constructor(storage) {
    this.#storage = storage;
    this.#earlier = parsed(storage.getItem(EARLIER)) ?? [];
  }

  /** Writes the tabs for GraphiQL to find. */
  prepare(facts) {
    const stored = parsed(this.#storage.getItem(TABS));
    const state = stored?.tabs?.length > 0 ? this.#renewed(stored, facts) : firstTabs(facts);
    this.remember(facts);
    this.#storage.setItem(TABS, JSON.stringify(state));
    // GraphiQL keeps the texts of the active tab twice, and where they differ it makes a tab of its own.
    const active = state.tabs[state.activeTabIndex] ?? state.tabs[0];
    for (const field of ['query', 'variables', 'headers']) {
      if (active[field]) this.#storage.setItem(`graphiql:${field}`, active[field]);
      else this.#storage.removeItem(`graphiql:${field}`);
    }
  }

  /** Remembers what the demo calls things now. */
  remember(facts) {
    if (!facts || same(this.#earlier[0], facts)) return;
    this.#earlier = [facts, ...this.#earlier].slice(0, EARLIER_KEPT);
    this.#storage.setItem(EARLIER, JSON.stringify(this.#earlier));
  }

  /** The text with what the demo calls things now, in the place of what it called them earlier. */
  withNames(text, facts) {
    if (!text || !facts) return text;
    let now = text;
    for (const earlier of this.#earlier) {
      for (const [name, value] of Object.entries(earlier)) now = now.replaceAll(value, facts[name]);
    }
    return now;
  }

  #renewed(state, facts) {
    const tabs = state.tabs.map((tab) => {
      const example = examples.find(({ name }) => name === tab.title);
      const renew = (text, of) => {
        // What nobody has edited is as this server would have it: with a demo, or without.
        const isUntouched = of && [null, ...this.#earlier].some((earlier) => of(earlier) === text);
        return isUntouched ? of(facts) : this.withNames(text, facts);
      };
      // Where its user wants credentials to be forgotten, there are none.
      const headers = tab.headers ?? example?.headers(facts) ?? null;
      const init = initOf(tab) ?? example?.init(facts) ?? null;
      return {
        ...tab,
        query: this.withNames(tab.query, facts),
        variables: renew(tab.variables, example?.variables),
        headers: renew(headers, example?.headers),
        ...withInit(renew(init, example?.init)),
      };
    });
    return { ...state, tabs };
  }
}

function firstTabs(facts) {
  const tabs = examples.map(({ name, query, variables, headers, init }) => ({
    id: name,
    hash: null,
    title: name,
    query,
    variables: variables(facts),
    headers: headers(facts),
    operationName: name,
    response: null,
    ...withInit(init(facts)),
  }));
  return { tabs, activeTabIndex: 0 };
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
