// Debian's Chromium, wherever it is.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const paths = process.env.PATH.split(delimiter).map((folder) => join(folder, 'chromium'));
const executablePath = paths.find(existsSync) ?? assert.fail('chromium is not installed: apt-get install chromium');

/** How long a page may take for anything, in milliseconds: nothing takes this long when all is well. */
export const PATIENCE = 120_000;

/** Starts one without a window, with more arguments of its command line. */
export function launch(...more) {
  // Where tests run, they often run as root.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', ...more] });
}
