// Answers by the npm package standardwebhooks.
const http = require('http');
const { Webhook } = require('standardwebhooks');

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    webhook.verify(Buffer.concat(chunks).toString('utf8'), request.headers);
    response.writeHead(200).end();
  } catch (error) {
    response.writeHead(401).end(String(error));
  }
});
server.listen(0, '127.0.0.1', () => console.log('listening', server.address().port));
