/**
 * Models that may answer in the place of the one that a call names: OpenRouter's `models`, LiteLLM's `fallbacks`, and
 * what Vercel's gateway takes under `providerOptions.gateway.models`. An error of the first, which a caller can bring
 * about, leads to the next.
 * Sources: openrouter.ai/docs/features/model-routing; docs.litellm.ai/docs/proxy/reliability;
 * vercel.com/docs/ai-gateway/models-and-providers/provider-options.
 */
import { InvalidCall } from '../provider.ts'
import { asObject, readModel } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

const MODELS_MAX = 16

/** Each once; empty where there are none. Throws InvalidCall for what is no list of names. */
export function readOtherModels(fields: Fields, model: string): { readonly otherModels?: readonly string[] } {
  const gateway = asObject(asObject(fields['providerOptions'])?.['gateway'])
  const named = [
    ...namesIn(fields['models'], 'models'),
    ...namesIn(fields['fallbacks'], 'fallbacks'),
    ...namesIn(gateway?.['models'], 'providerOptions.gateway.models'),
  ]
  const others = [...new Set(named)].filter((name) => name !== model)
  return others.length > 0 ? { otherModels: others } : {}
}

function namesIn(list: unknown, field: string): readonly string[] {
  if (list === undefined || list === null) return []
  if (!Array.isArray(list) || list.length > MODELS_MAX)
    throw new InvalidCall(`"${field}" must be a list of at most ${MODELS_MAX} models.`, field)
  return list.map((one: unknown) => {
    const name = typeof one === 'string' ? one : asObject(one)?.['model']
    if (typeof name !== 'string') throw new InvalidCall(`"${field}" must hold names of models, nothing else.`, field)
    return readModel({ model: name })
  })
}
