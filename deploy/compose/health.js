// For mongosh: healthy is a router that lists the databases, for then it has the config servers and
// the shards; and a member that is PRIMARY or SECONDARY.
const fs = require('fs');
const secrets = '/run/shardstack/key';
const tls = fs.existsSync(`${secrets}/ca.pem`) ? `&tls=true&tlsCAFile=${secrets}/ca.pem` : '';
const waits = 'serverSelectionTimeoutMS=3000&connectTimeoutMS=3000&socketTimeoutMS=5000';
const options = `?authSource=admin&directConnection=true&${waits}${tls}`;
const port = process.env.PORT;

const hello = new Mongo(`mongodb://localhost:${port}/${options}`).getDB('admin').hello();
if (hello.msg === 'isdbgrid') {
  const password = fs.readFileSync(`${secrets}/monitor`, 'utf8');
  const client = new Mongo(`mongodb://monitor:${password}@localhost:${port}/${options}`);
  client.getDB('admin').adminCommand({ listDatabases: 1, nameOnly: true });
} else if (!hello.isWritablePrimary && !hello.secondary) {
  throw new Error('neither PRIMARY nor SECONDARY');
}
