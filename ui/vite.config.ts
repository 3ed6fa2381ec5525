import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const server = process.env.ONSITE_DEV_SERVER ?? 'http://127.0.0.1:8080';
const forwarded = { target: server, changeOrigin: true };

export default defineConfig(({ mode }) => ({
  plugins: [svelte()],
  // vitest must resolve the browser build of Svelte
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  server: { proxy: { '/api': forwarded, '/healthz': forwarded, '/readyz': forwarded } },
  build: {
    outDir: '../ui-dist',
    emptyOutDir: true,
    target: 'es2022',
    // the policy allows no data: scripts or fonts, and images are ours: nothing is inlined
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: true,
  },
  test: { environment: 'node', include: ['src/**/*.test.ts'] },
}));
