import * as z from 'zod'
import type { JsonSchema } from './describe-issues.ts'
import { entitlementsSchema } from './entitlements-schema.ts'
import { priceBookSchema } from './price-book-schema.ts'
import { tollgateSchema } from './tollgate-schema.ts'

/** The JSON Schemas of config/schema/, by file name without ending; editors check files by them while they are written. */
export const JSON_SCHEMAS = {
  tollgate: describe(tollgateSchema),
  entitlements: describe(entitlementsSchema),
  'price-book': describe(priceBookSchema),
} as const satisfies Record<string, JsonSchema>

function describe(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input' }) as JsonSchema
}
