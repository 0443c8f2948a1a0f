// Drives a base URL with Anthropic's TypeScript SDK and prints what it returns, a
// line each. The SDK is taken from the folder in TOLLBOOK_TYPESCRIPT.
import { createRequire } from 'node:module'

const Anthropic = createRequire(process.env.TOLLBOOK_TYPESCRIPT + '/')('@anthropic-ai/sdk').default
const client = new Anthropic({
  baseURL: process.env.BASE_URL,
  apiKey: process.env.API_KEY,
  defaultHeaders: { 'X-Claude-Code-Session-Id': process.env.SESSION },
})

const say = (what, value) => console.log(what + ': ' + JSON.stringify(value))
const ask = { model: 'claude-opus-5-5', max_tokens: 1000, messages: [{ role: 'user', content: 'Say hello to the ledger' }] }

async function plain(what) {
  const message = await client.messages.create(ask)
  say(what, message)
  return message
}

async function stream(what) {
  try {
    for await (const event of await client.messages.create({ ...ask, stream: true })) say(what, event)
    say(what, 'ended')
  } catch (error) {
    say(what + ' failed', [error.name, error.message])
  }
}

await plain('plain')
await stream('stream')
ask.messages = [{ role: 'user', content: 'run echo hi' }]
ask.tools = [{ name: 'Bash', input_schema: { type: 'object', properties: { command: { type: 'string' } } } }]
const use = await plain('tool')
ask.messages.push({ role: 'assistant', content: use.content })
ask.messages.push({ role: 'user', content: [{ type: 'tool_result', tool_use_id: use.content[0].id, content: 'hi' }] })
await plain('result')
try {
  await client.messages.create({ ...ask, model: 'gpt-1' })
} catch (error) {
  say('error', [error.name, error.status, error.requestID, error.error])
}
await plain('after an overload')
try {
  const message = await client.messages.stream(ask).finalMessage()
  say('cut', message)
} catch (error) {
  say('cut failed', [error.name, error.message])
}
say('counted', await client.messages.countTokens({ model: ask.model, messages: ask.messages }))
say('models', (await client.models.list()).data)
