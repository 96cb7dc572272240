/** Writes config/schema/ and config/reference/: `node src/config/write-schemas.ts`, after a change of a schema. */
import { writeFileSync } from 'node:fs'
import { generatedFiles } from './generated-files.ts'

for (const [path, text] of Object.entries(generatedFiles())) {
  writeFileSync(new URL(`../../config/${path}`, import.meta.url), text)
}
