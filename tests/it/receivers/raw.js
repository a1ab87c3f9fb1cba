// raw.js <sample>: answers by the sample's verifyWebhookSignature(payload, signature, secret) over the raw body.
const fs = require('fs');
const http = require('http');

const sample = fs.readFileSync(process.argv[2], 'utf8');
const verify = new Function('require', `${sample}\nreturn verifyWebhookSignature;`)(require);
const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const signature = request.headers['x-webhook-signature'];
  let valid = false;
  try {
    valid = verify(Buffer.concat(chunks), signature, process.env.WEBHOOK_SECRET);
  } catch {
    // timingSafeEqual throws at another length.
  }
  response.writeHead(valid ? 200 : 401).end();
});
server.listen(0, '127.0.0.1', () => console.log('listening', server.address().port));
