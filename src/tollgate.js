#!/usr/bin/env node
/* The `tollgate` command: plain JavaScript, so that an older Node can say what is wrong. */
const NODE_NEEDED = 26

if (Number(process.versions.node.split('.')[0]) < NODE_NEEDED) {
  console.error(
    `tollgate: Node ${NODE_NEEDED} or later is needed, this is ${process.version}; npm exec -- tollgate brings its own.`,
  )
  process.exit(1)
}
await import('./cli.ts')
