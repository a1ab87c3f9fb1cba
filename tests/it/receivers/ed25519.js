// Answers by Node's own Ed25519, as the libraries of Standard Webhooks know HMAC alone.
const crypto = require('crypto');
const http = require('http');

const x = Buffer.from(process.env.WEBHOOK_SECRET.slice('whpk_'.length), 'base64').toString('base64url');
const key = crypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
const server = http.createServer(async (request, response) => {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = request.headers;
  const chunks = [Buffer.from(`${id}.${timestamp}.`)];
  for await (const chunk of request) chunks.push(chunk);
  const signed = Buffer.concat(chunks);
  const right = signatures.split(' ').some((one) => {
    const [version, signature] = one.split(',');
    return version === 'v1a' && crypto.verify(null, signed, key, Buffer.from(signature, 'base64'));
  });
  response.writeHead(right ? 200 : 401).end();
});
server.listen(0, '127.0.0.1', () => console.log('listening', server.address().port));
