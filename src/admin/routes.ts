import { z } from 'zod'
import { ACCOUNT_ROUTES } from './account-routes.ts'
import { BOOKS_ROUTES } from './books-routes.ts'
import { CONFIG_ROUTES } from './config-routes.ts'
import { CORRECTION_ROUTES } from './correction-routes.ts'
import { DOCTOR_ROUTES } from './doctor-routes.ts'
import { GRANT_ROUTES } from './grant-routes.ts'
import { KEPT_ACCOUNT_ROUTES } from './kept-account-routes.ts'
import { KEY_ROUTES } from './key-routes.ts'
import { LEDGER_ROUTES } from './ledger-routes.ts'
import { openApi } from './openapi.ts'
import { REPORT_ROUTES } from './report-routes.ts'
import { type Route, route } from './route.ts'
import { STOP_ROUTES } from './stop-routes.ts'
import { UNMATCHED_ROUTES } from './unmatched-routes.ts'
import { USAGE_ROUTES } from './usage-routes.ts'
import { WEBHOOK_ROUTES } from './webhook-routes.ts'

const describe = route({
  method: 'GET',
  path: '/openapi.json',
  role: 'viewer',
  summary: 'This description',
  answer: z.looseObject({ openapi: z.string() }),
  async handle() {
    return { status: 200, body: openApi(ADMIN_ROUTES) }
  },
})

/** Every call of the admin API with the role it needs. What is not here does not exist. */
export const ADMIN_ROUTES: readonly Route[] = [
  ...ACCOUNT_ROUTES,
  ...KEPT_ACCOUNT_ROUTES,
  ...KEY_ROUTES,
  ...GRANT_ROUTES,
  ...LEDGER_ROUTES,
  ...BOOKS_ROUTES,
  ...USAGE_ROUTES,
  ...REPORT_ROUTES,
  ...CORRECTION_ROUTES,
  ...UNMATCHED_ROUTES,
  ...STOP_ROUTES,
  ...DOCTOR_ROUTES,
  ...CONFIG_ROUTES,
  ...WEBHOOK_ROUTES,
  describe,
]

const patterns = ADMIN_ROUTES.map((row) => ({ row, parts: row.path.split('/').slice(1) }))

/** Decoded parts, or undefined for a path whose percent-encoding is broken. */
function decodeParts(path: string): string[] | undefined {
  try {
    return path.split('/').slice(1).map(decodeURIComponent)
  } catch {
    return undefined
  }
}

function matches(pattern: readonly string[], parts: readonly string[]): boolean {
  return (
    pattern.length === parts.length &&
    pattern.every((part, i) => part === parts[i] || (part.startsWith(':') && parts[i] !== ''))
  )
}

export interface Found {
  readonly row: Route
  readonly path: Readonly<Record<string, string>>
}

/** The row for a path below /admin/v1, `methods` of other rows for it, or neither. */
export function findRoute(
  method: string,
  path: string,
): { readonly found?: Found; readonly methods: readonly string[] } {
  const parts = decodeParts(path)
  if (!parts) return { methods: [] }
  const fitting = patterns.filter((pattern) => matches(pattern.parts, parts))
  const exact = fitting.find((pattern) => pattern.row.method === method)
  if (!exact) return { methods: fitting.map((pattern) => pattern.row.method) }
  const named = exact.parts.flatMap((part, i) =>
    part.startsWith(':') ? [[part.slice(1), parts[i] as string] as const] : [],
  )
  return { found: { row: exact.row, path: Object.fromEntries(named) }, methods: [] }
}
