// Healthy is a router that lists the databases: it then has the config servers and the shards.
const fs = require('fs');
const secrets = '/run/shardstack/key';
const flags = process.env.FLAGS ?? '';
const tls = flags.includes('--tlsMode') ? `&tls=true&tlsCAFile=${secrets}/ca.pem` : '';
const waits = 'serverSelectionTimeoutMS=3000&connectTimeoutMS=3000&socketTimeoutMS=5000';
const options = `?authSource=admin&directConnection=true&${waits}${tls}`;
const port = process.env.PORT;

const password = fs.readFileSync(`${secrets}/monitor`, 'utf8');
const client = new Mongo(`mongodb://monitor:${password}@localhost:${port}/${options}`);
client.getDB('admin').adminCommand({ listDatabases: 1, nameOnly: true });
