// Prints each escalation as one line of JSON on stdout. Uses public packages only: kafkajs and avsc.
//
//   VIGIA_BOOTSTRAP_SERVERS=127.0.0.1:9092 VIGIA_SCHEMA_REGISTRY_URL=http://127.0.0.1:8080/apis/ccompat/v7 \
//     node consumer.mjs --topic vigia.escalations.emergency --group pager
//
// Delivery is at least once: kafkajs commits a position after eachMessage has returned. Whoever must not act twice on
// an escalation remembers event_id, which is the same in every delivery.

import { parseArgs } from 'node:util';
import avro from 'avsc';
import { Kafka, logLevel } from 'kafkajs';

const { values: options } = parseArgs({
  options: {
    topic: { type: 'string', multiple: true, default: ['vigia.escalations.emergency'] },
    group: { type: 'string', default: 'example-node' },
    // Stop after so many events; 0: never.
    max: { type: 'string', default: '0' },
  },
});
const brokers = need('VIGIA_BOOTSTRAP_SERVERS').split(',');
const registry = need('VIGIA_SCHEMA_REGISTRY_URL').replace(/\/$/, '');
const max = Number(options.max);

function need(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value;
}

// The record itself is wrong, now and later; anything else (a registry that is away) is worth another try.
class Undecodable extends Error {}

// A schema never changes under its id, so each is asked for once.
const types = new Map();

async function typeOf(id) {
  if (!types.has(id)) {
    const answer = await fetch(`${registry}/schemas/ids/${id}`, { signal: AbortSignal.timeout(5000) });
    if (answer.status === 404) throw new Undecodable(`the registry knows no schema id ${id}`);
    if (!answer.ok) throw new Error(`schema ${id}: the registry answers ${answer.status}`);
    types.set(id, avro.Type.forSchema(JSON.parse((await answer.json()).schema)));
  }
  return types.get(id);
}

// Confluent wire format: a zero byte, the schema id (4 bytes, big endian), Avro.
async function decode(value) {
  if (value === null || value.length < 5 || value[0] !== 0) throw new Undecodable('no Confluent header');
  const type = await typeOf(value.readUInt32BE(1));
  try {
    return type.fromBuffer(value.subarray(5));
  } catch (error) {
    throw new Undecodable(error.message);
  }
}

const kafka = new Kafka({ clientId: 'vigia-example', brokers, logLevel: logLevel.ERROR });
// readUncommitted is false by default; said here since it matters: a stage's output counts once it is committed.
const consumer = kafka.consumer({ groupId: options.group, readUncommitted: false, sessionTimeout: 6000, heartbeatInterval: 2000 });

let seen = 0;
let stopping;
const stop = () => (stopping ??= consumer.disconnect().then(() => process.exit(0)));
process.on('SIGINT', stop);
process.on('SIGTERM', stop);

await consumer.connect();
await consumer.subscribe({ topics: options.topic, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ topic, partition, message }) => {
    if (stopping) return;
    const place = { topic, partition, offset: message.offset, case_id: message.key?.toString() };
    try {
      console.log(JSON.stringify({ ...place, event: await decode(message.value) }));
    } catch (error) {
      // kafkajs delivers the message again, after a pause, when its handler throws.
      if (!(error instanceof Undecodable)) throw error;
      // Not skipped in silence: someone must look at it.
      console.error(JSON.stringify({ ...place, error: error.message }));
    }
    seen += 1;
    // Not awaited: disconnecting waits for this very handler.
    if (max && seen >= max) setImmediate(stop);
  },
});
