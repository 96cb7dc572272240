/** `/admin/v1/openapi.json`, made from the table that also routes and validates: it cannot say anything else. */
import { z } from 'zod'
import type { Route } from './route.ts'
import { errorAnswer } from './schemas.ts'

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

function parameters(route: Route): object[] {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map((match) => ({
    name: match[1],
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const query = route.query ? (schemaOf(route.query, 'input') as { properties?: Record<string, object> }) : {}
  const inQuery = Object.entries(query.properties ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema,
  }))
  const idempotency =
    route.method === 'POST'
      ? [{ name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string' } }]
      : []
  return [...inPath, ...inQuery, ...idempotency]
}

function json(schema: object): object {
  return { 'application/json': { schema } }
}

function operation(route: Route): object {
  const answer = { description: 'Done', content: json(schemaOf(route.answer, 'output')) }
  return {
    summary: route.summary,
    description: `Needs the role ${route.role}.`,
    'x-tollgate-role': route.role,
    parameters: parameters(route),
    ...(route.body ? { requestBody: { content: json(schemaOf(route.body, 'input')) } } : {}),
    responses: {
      [route.status]: answer,
      ...(route.status === 201 ? { 200: { ...answer, description: 'A repeat: the first answer' } } : {}),
      default: { description: 'Refused', content: json(schemaOf(errorAnswer, 'output')) },
    },
  }
}

export function openApi(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tollgate admin API',
      version: '1',
      description: 'Accounts, grants, ledger and config of a gateway.',
    },
    servers: [{ url: '/admin/v1' }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }],
    paths,
  }
}
