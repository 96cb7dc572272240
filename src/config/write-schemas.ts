/** Writes config/schema/*.json: `node src/config/write-schemas.ts`. */
import { writeFileSync } from 'node:fs'
import { JSON_SCHEMAS } from './json-schemas.ts'

for (const [name, schema] of Object.entries(JSON_SCHEMAS)) {
  writeFileSync(new URL(`../../config/schema/${name}.json`, import.meta.url), `${JSON.stringify(schema, null, 2)}\n`)
}
