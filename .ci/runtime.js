/* Run through the bootstrap: says which Node everything else runs on. */
console.log(`Node ${process.versions.node}`)
