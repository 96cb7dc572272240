/** Objects of the Anthropic API. Source: anthropic-sdk-typescript src/resources/{messages/batches,beta/files,beta/skills}. */
import { madeIn } from '../made-objects.ts'
import { type ObjectMatcher, objectMatcher } from '../object-paths.ts'
import type { ObjectRules } from '../provider.ts'

/** Clients dial the address that a batch names for its results as it stands. */
const BATCH: ObjectRules = { address: ['results_url', '/results'] }

export const anthropicObjects: ObjectMatcher = objectMatcher('anthropic', [
  ['GET', 'messages/batches/:id/results', 'batches', { nudges: true }],
  ['POST', 'messages/batches/:id/cancel', 'batches', { ...BATCH, nudges: true }],
  ['GET', 'messages/batches/:id', 'batches', BATCH],
  ['DELETE', 'messages/batches/:id', 'batches', { deletes: true }],
  ['GET', 'messages/batches', 'batches', { lists: true }],
  ['GET', 'files/:id/content', 'files'],
  ['GET', 'files/:id', 'files'],
  ['DELETE', 'files/:id', 'files', { deletes: true }],
  ['GET', 'files', 'files', { lists: true }],
  ['POST', 'files', 'files', { makes: madeIn('id'), upload: true }],
  ['GET', 'skills/:id/versions/:part', 'files'],
  ['DELETE', 'skills/:id/versions/:part', 'files'],
  ['GET', 'skills/:id/versions', 'files'],
  ['POST', 'skills/:id/versions', 'files', { makes: madeIn('id'), upload: true }],
  ['GET', 'skills/:id', 'files'],
  ['DELETE', 'skills/:id', 'files', { deletes: true }],
  ['GET', 'skills', 'files', { lists: true }],
  ['POST', 'skills', 'files', { makes: madeIn('id'), upload: true }],
])
