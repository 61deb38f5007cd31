import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // Wherever the page is served: below /graphql, below another path, behind a proxy's prefix.
  base: './',
  build: {
    // All files side by side, named by their content: the server says that they never change.
    assetsDir: '.',
    // A data URL would be one more thing for the Content-Security-Policy to allow.
    assetsInlineLimit: 0,
    // What is in the binary is passed on: with the licences of those who made it.
    license: { fileName: 'licenses.md' },
    modulePreload: { polyfill: false },
    // The editor alone is larger than what Vite warns of.
    chunkSizeWarningLimit: 8000,
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
});
