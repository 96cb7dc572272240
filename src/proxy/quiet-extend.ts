/**
 * Imported before `http-proxy` 1.18, which takes `util._extend` when it is loaded: Node prints a deprecation (DEP0060) on
 * its first use, and users of `serve` would read it as a fault of theirs. `Object.assign` does the same.
 */
import util from 'node:util'

Object.assign(util, { _extend: Object.assign })
