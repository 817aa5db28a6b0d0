import { rmSync } from 'node:fs'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// What an earlier build left in dist goes; the committed placeholder page stays.
const clean = {
  name: 'clean-dist',
  apply: 'build' as const,
  buildStart() {
    for (const name of ['assets', 'index.html']) rmSync(`dist/${name}`, { recursive: true, force: true })
  },
}

export default defineConfig({
  plugins: [clean, svelte()],
  build: {
    outDir: 'dist',
    emptyOutDir: false,
    // The first browsers with light-dark() and everything else that is used here (2024).
    target: ['chrome123', 'firefox121', 'safari17.5'],
    assetsInlineLimit: 0, // the policy has no data: addresses
    modulePreload: { polyfill: false }, // it would be an inline script
  },
  // For npm run dev: the peer checks that the Host of a request is its own.
  server: { proxy: { '/v1': { target: process.env.CAIRN_HTTP ?? 'http://127.0.0.1:4747', changeOrigin: true } } },
  test: { include: ['src/**/*.test.ts'], environment: 'node', css: true },
})
