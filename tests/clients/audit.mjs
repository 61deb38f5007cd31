// The audit suite of graphql-http: whether `GraphQL over HTTP` is spoken as it is written.
import assert from 'node:assert/strict';
import { auditServer } from 'graphql-http';
import { httpUrl as url } from './demo.mjs';

const results = await auditServer({ url });
assert.ok(results.length > 50, `there are ${results.length} audits`);

const failed = results.filter(({ status }) => status !== 'ok');
for (const { id, name, status, reason, response } of failed) {
  console.log(`${status} ${id} ${name}: ${reason}\n  ${response.status} ${await response.clone().text()}`);
}
// What the specification only allows (MAY) is a notice.
assert.deepEqual(failed.filter(({ status }) => status !== 'notice').map(({ name }) => name), []);
console.log(`${results.length - failed.length} of ${results.length} audits pass`);
