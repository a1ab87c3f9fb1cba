// express_app.js <sample>: runs a sample that is a whole program, on a free port instead of its own.
const fs = require('fs');
const net = require('net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function () {
  return listen.call(this, 0, '127.0.0.1', () => console.log('listening', this.address().port));
};
new Function('require', fs.readFileSync(process.argv[2], 'utf8'))(require);
