import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import { isObject, type JsonObject } from './call.ts'
import { applyControls, type Controls, defaultControls, takeFromText } from './controls.ts'
import { countInput } from './count-input.ts'
import { textTokens } from './generate-text.ts'
import { createRandom, hashText, idTail } from './random.ts'

/** pcm16 at 24 kHz. */
const BYTES_PER_SECOND = 48_000
/** A second of sound is taken for something that was said. */
const TURN_BYTES = BYTES_PER_SECOND
const HEARD_PER_SECOND = 10
/** 50 ms of sound are a token. */
const SPOKEN_BYTES_PER_TOKEN = BYTES_PER_SECOND / 20
const DEFAULT_TOKENS = 12

/**
 * One realtime session: text and sound, turns by request or by voice activity, transcriptions, cancellation, in the
 * current form of the API and in its first (`OpenAI-Beta: realtime=v1`). Controls stand in `x-simulate` of the handshake
 * or in the last text of the user.
 */
export class RealtimeSimulation {
  readonly #socket: WebSocket
  readonly #beta: boolean
  readonly #seed: number
  readonly #controls: string
  #events = 0
  #session: Record<string, unknown>
  /** Tokens of the conversation so far. */
  #text = 40
  #audio = 0
  #userText = ''
  #buffer = 0
  #running: { id: string; cancelled: boolean } | undefined
  #responses = 0

  constructor(socket: WebSocket, request: IncomingMessage, seed: number) {
    const query = new URL(request.url ?? '/', 'http://x').searchParams
    const protocols = request.headers['sec-websocket-protocol'] ?? ''
    this.#socket = socket
    this.#seed = seed
    this.#beta = request.headers['openai-beta'] === 'realtime=v1' || protocols.includes('openai-beta.realtime-v1')
    this.#controls = typeof request.headers['x-simulate'] === 'string' ? request.headers['x-simulate'] : ''
    const model = query.get('model') ?? query.get('deployment') ?? ''
    this.#session = this.#beta
      ? {
          object: 'realtime.session',
          model,
          modalities: ['text', 'audio'],
          turn_detection: { type: 'server_vad' },
          input_audio_transcription: null,
          max_response_output_tokens: 'inf',
          instructions: 'Be brief.',
        }
      : {
          object: 'realtime.session',
          type: 'realtime',
          model,
          output_modalities: ['audio'],
          max_output_tokens: 'inf',
          instructions: 'Be brief.',
          audio: { input: { turn_detection: { type: 'server_vad' }, transcription: null } },
        }
    this.#session['id'] = `sess_${idTail(seed, 20)}`
    socket.on('message', (data) => this.#onEvent(String(data)))
    socket.on('error', () => {})
    this.#send('session.created', { session: this.#session })
  }

  #send(type: string, fields: JsonObject): void {
    this.#events += 1
    this.#socket.send(JSON.stringify({ type, event_id: `event_${this.#events}`, ...fields }))
  }

  #onEvent(text: string): void {
    let event: JsonObject
    try {
      event = JSON.parse(text) as JsonObject
    } catch {
      this.#error('Could not parse the event.', null)
      return
    }
    const eventId = typeof event['event_id'] === 'string' ? event['event_id'] : null
    switch (event['type']) {
      case 'session.update':
        this.#update(event, eventId)
        break
      case 'conversation.item.create':
        this.#addItem(event['item'])
        break
      case 'input_audio_buffer.append':
        this.#append(String(event['audio'] ?? ''))
        break
      case 'input_audio_buffer.commit':
        this.#commit()
        break
      case 'response.create':
        this.#create(event['response'], eventId)
        break
      case 'response.cancel':
        if (this.#running) this.#running.cancelled = true
        break
      default:
        this.#error(`Unknown event type ${String(event['type'])}.`, eventId)
    }
  }

  #error(message: string, eventId: string | null): void {
    this.#send('error', {
      error: { type: 'invalid_request_error', code: null, message, param: null, event_id: eventId },
    })
  }

  #update(event: JsonObject, eventId: string | null): void {
    const session = isObject(event['session']) ? event['session'] : {}
    if (this.#beta === 'type' in session) {
      this.#error(
        this.#beta ? "Unknown parameter: 'session.type'." : "Missing required parameter: 'session.type'.",
        eventId,
      )
      return
    }
    const audio = isObject(session['audio']) ? session['audio'] : {}
    const before = isObject(this.#session['audio']) ? this.#session['audio'] : {}
    const input = { ...(before['input'] as JsonObject), ...(audio['input'] as JsonObject) }
    this.#session = { ...this.#session, ...session, ...(this.#beta ? {} : { audio: { ...before, ...audio, input } }) }
    this.#send('session.updated', { session: this.#session })
  }

  get #input(): JsonObject {
    if (this.#beta)
      return {
        turn_detection: this.#session['turn_detection'],
        transcription: this.#session['input_audio_transcription'],
      }
    return (this.#session['audio'] as JsonObject)['input'] as JsonObject
  }

  #addItem(item: unknown): void {
    const content = isObject(item) && Array.isArray(item['content']) ? item['content'] : []
    for (const part of content) {
      if (!isObject(part)) continue
      if (typeof part['audio'] === 'string') this.#audio += heardTokens((part['audio'].length * 3) / 4)
      if (typeof part['text'] === 'string') {
        this.#userText = part['text']
        this.#text += countInput(part['text'])
      }
    }
    const id = `item_${idTail(this.#seed + this.#events, 20)}`
    this.#send(this.#beta ? 'conversation.item.created' : 'conversation.item.added', {
      item: { ...(item as JsonObject), id },
    })
  }

  #append(base64: string): void {
    this.#buffer += (base64.length * 3) / 4
    if (!isObject(this.#input['turn_detection']) || this.#buffer < TURN_BYTES) return
    this.#send('input_audio_buffer.speech_started', { audio_start_ms: 0 })
    this.#send('input_audio_buffer.speech_stopped', { audio_end_ms: 1000 })
    this.#commit()
    this.#create(undefined, null)
  }

  #commit(): void {
    const id = `item_${idTail(this.#seed + this.#events, 20)}`
    const seconds = this.#buffer / BYTES_PER_SECOND
    const tokens = heardTokens(this.#buffer)
    this.#audio += tokens
    this.#buffer = 0
    this.#send('input_audio_buffer.committed', { item_id: id, previous_item_id: null })
    const transcription = this.#input['transcription']
    if (!isObject(transcription)) return
    const whisper = String(transcription['model']).startsWith('whisper')
    const usage = whisper
      ? { type: 'duration', seconds: Math.ceil(seconds) }
      : {
          type: 'tokens',
          input_tokens: tokens,
          output_tokens: 5,
          total_tokens: tokens + 5,
          input_token_details: { audio_tokens: tokens, text_tokens: 0 },
        }
    this.#send('conversation.item.input_audio_transcription.completed', {
      item_id: id,
      content_index: 0,
      transcript: 'Hello.',
      usage,
    })
  }

  #create(response: unknown, eventId: string | null): void {
    if (this.#running) {
      this.#error('Conversation already has an active response in progress.', eventId)
      return
    }
    const wish = isObject(response) ? response : {}
    const controls = this.#readControls()
    this.#responses += 1
    const id = `resp_${idTail(this.#seed + 31 * this.#responses, 20)}`
    this.#running = { id, cancelled: false }
    const modalities =
      wish['output_modalities'] ??
      wish['modalities'] ??
      this.#session['output_modalities'] ??
      this.#session['modalities']
    const spoken = Array.isArray(modalities) && modalities.includes('audio')
    const limit = [
      wish['max_output_tokens'],
      wish['max_response_output_tokens'],
      this.#session['max_output_tokens'],
      this.#session['max_response_output_tokens'],
    ].find((value) => value !== undefined)
    this.#send('response.created', {
      response: { id, object: 'realtime.response', status: 'in_progress', output: [], conversation_id: 'conv_1' },
    })
    void this.#speak(id, controls, spoken, typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY)
  }

  #readControls(): Controls {
    const controls = defaultControls()
    applyControls(controls, this.#controls)
    takeFromText(controls, this.#userText)
    return controls
  }

  async #speak(id: string, controls: Controls, spoken: boolean, limit: number): Promise<void> {
    const wanted = controls.output ?? DEFAULT_TOKENS
    const count = controls.faults.has('ignore_max_tokens') ? wanted : Math.min(wanted, limit)
    const words = textTokens(createRandom(hashText(this.#userText, this.#seed)), count)
    const midway = controls.at ?? count >> 1
    let said = 0
    for (const word of words) {
      if (this.#running?.cancelled || this.#socket.readyState !== this.#socket.OPEN) break
      if (said === midway && (controls.faults.has('reset_mid') || controls.faults.has('hang_mid'))) {
        if (controls.faults.has('reset_mid')) this.#socket.terminate()
        return
      }
      if (spoken) this.#delta(id, 'audio', Buffer.alloc(SPOKEN_BYTES_PER_TOKEN, 1).toString('base64'))
      else this.#delta(id, 'text', word)
      said += 1
      if (controls.tokensPerSecond > 0)
        await new Promise((resolve) => setTimeout(resolve, 1000 / controls.tokensPerSecond))
      else if (said % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    this.#finish(id, controls, spoken, said, said < wanted)
  }

  #delta(id: string, kind: 'audio' | 'text', delta: string): void {
    const type = this.#beta ? `response.${kind}.delta` : `response.output_${kind}.delta`
    this.#send(type, { response_id: id, item_id: 'item_1', output_index: 0, content_index: 0, delta })
  }

  #finish(id: string, controls: Controls, spoken: boolean, said: number, short: boolean): void {
    const cancelled = this.#running?.cancelled === true
    this.#running = undefined
    const input = controls.input ?? this.#text + this.#audio
    const audio = Math.min(this.#audio, input)
    const cached = Math.min(controls.cached, input - audio)
    const usage = {
      total_tokens: input + said,
      input_tokens: input,
      output_tokens: said,
      input_token_details: {
        text_tokens: input - audio,
        audio_tokens: audio,
        cached_tokens: cached,
        cached_tokens_details: { text_tokens: cached, audio_tokens: 0 },
      },
      output_token_details: { text_tokens: spoken ? 0 : said, audio_tokens: spoken ? said : 0 },
    }
    if (spoken) this.#audio += said
    else this.#text += said
    const status = cancelled ? 'cancelled' : short ? 'incomplete' : 'completed'
    this.#send('response.done', {
      response: {
        id,
        object: 'realtime.response',
        status,
        output: [],
        conversation_id: 'conv_1',
        ...(controls.faults.has('no_usage') ? {} : { usage }),
      },
    })
  }
}

function heardTokens(bytes: number): number {
  return Math.round((bytes / BYTES_PER_SECOND) * HEARD_PER_SECOND)
}
