/**
 * A gateway in a process of its own: `gateway-process.ts CONFIG`. Sends { port, adminUrl, adminToken } to its parent
 * and stops when the channel closes.
 */

import { startGateway } from '../src/gateway.ts'
import { SILENT_LOG } from '../src/log.ts'

const [configFile] = process.argv.slice(2)
if (configFile === undefined) throw new Error('usage: gateway-process.ts CONFIG')
const gateway = await startGateway({ configFile, env: {}, log: SILENT_LOG })
process.on('disconnect', () => void gateway.stop().then(() => process.exit()))
process.send?.({ port: Number(new URL(gateway.url).port), adminUrl: gateway.adminUrl, adminToken: gateway.adminToken })
