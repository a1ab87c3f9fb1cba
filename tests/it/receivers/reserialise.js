// Answers 200 when JSON.stringify(JSON.parse(body)) is the body, and otherwise with what it is.
const http = require('http');

const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString('utf8');
  const again = JSON.stringify(JSON.parse(body));
  response.writeHead(again === body ? 200 : 409).end(again);
});
server.listen(0, '127.0.0.1', () => console.log('listening', server.address().port));
