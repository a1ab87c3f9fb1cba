// express_route.js <sample>: runs a sample that defines a route, with what it takes for granted.
const fs = require('fs');
const express = require('express');

const app = express();
app.use(express.json());
const sample = fs.readFileSync(process.argv[2], 'utf8');
new Function('require', 'app', 'WEBHOOK_SECRET', sample)(require, app, process.env.WEBHOOK_SECRET);
const server = app.listen(0, '127.0.0.1', () => console.log('listening', server.address().port));
