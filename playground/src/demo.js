/**
 * What only a demo tells: its API key, its token and its invoice. The server answers null where there is no demo.
 */

/** Beside this file, wherever the page is served. */
const url = import.meta.url;

/** @returns {Promise<import('./examples.js').Facts | null>} */
export async function demoFacts() {
  try {
    const response = await fetch(new URL('demo.json', url), { cache: 'no-store' });
    return response.ok ? await response.json() : null;
  } catch {
    // The server is away. Whatever is asked of it next will say so better.
    return null;
  }
}
