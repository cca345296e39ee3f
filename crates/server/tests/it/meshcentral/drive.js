// Drives a real MeshCentral as two technicians and an agent do: one step for each line of standard
// input, one line of JSON for each step done. Arguments: node_modules, address, working directory.
const [modules, base, directory] = process.argv.slice(2);
const fs = require('fs'), crypto = require('crypto'), path = require('path');
const { spawn } = require('child_process');
const WebSocket = require(path.join(modules, 'ws'));
const loopback = { rejectUnauthorized: false };
const sleep = ms => new Promise(done => setTimeout(done, ms));
const password = 'Pr0be-Only-Loopback!';
let node, agent;

function technician(user) {
  const b64 = text => Buffer.from(text).toString('base64');
  const headers = { 'x-meshauth': b64(user) + ',' + b64(password) };
  const channel = new WebSocket(base.replace('http', 'ws') + '/control.ashx', { ...loopback, headers });
  const waiting = [];
  channel.on('message', message => {
    const told = JSON.parse(message);
    for (let i = waiting.length - 1; i >= 0; i--) if (waiting[i][0](told)) waiting.splice(i, 1)[0][1](told);
  });
  return {
    channel,
    send: message => channel.send(JSON.stringify(message)),
    wait: is => new Promise(done => waiting.push([is, done])),
    ready: new Promise(done => channel.on('open', () => setTimeout(done, 300))),
  };
}

async function ask(who, question, action = question.action) {
  const answer = who.wait(told => told.action === action);
  who.send(question);
  return await answer;
}

// A relay to the agent, as a browser opens it.
async function tunnel(who, protocol, heard = () => {}) {
  const cookie = await ask(who, { action: 'authcookie' });
  const id = crypto.randomBytes(6).toString('hex');
  const query = `p=${protocol}&nodeid=${encodeURIComponent(node)}&id=${id}`;
  who.send({ action: 'msg', nodeid: node, type: 'tunnel', usage: protocol, responseid: 'x',
    value: `*/meshrelay.ashx?p=${protocol}&nodeid=${node}&id=${id}&rauth=${cookie.rcookie}` });
  const address = base.replace('http', 'ws') + `/meshrelay.ashx?browser=1&${query}&auth=${cookie.cookie}`;
  const socket = new WebSocket(address, loopback);
  return await new Promise(done => {
    // Of a shared desktop the first word comes with the first picture.
    if (protocol === 2) socket.on('open', () => done(socket));
    let is_open = false;
    socket.on('message', message => {
      const text = message.toString();
      if (is_open) return heard(text);
      if (text === 'c' || text === 'cr') { is_open = true; done(socket); }
    });
  });
}

const steps = {
  async begin(ann, bob) {
    await ask(ann, { action: 'createmesh', meshname: 'G1', meshtype: 2, responseid: 'mesh' });
    const meshes = await ask(ann, { action: 'meshes' });
    const mesh = meshes.meshes[0]._id;
    ann.send({ action: 'addmeshuser', meshid: mesh, meshname: 'G1', usernames: ['bob'], meshadmin: 4294967295 });
    const token = await ask(ann, { action: 'createLoginToken', name: 'debrief', expire: 0 });
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    const settings = await fetch(`${base}/meshsettings?id=${mesh.split('/')[2]}`);
    fs.writeFileSync(path.join(directory, 'meshagent.msh'), await settings.text());
    const program = path.join(directory, 'meshagent');
    fs.copyFileSync(path.join(modules, 'meshcentral/agents/meshagent_x86-64'), program);
    fs.chmodSync(program, 0o755);
    agent = spawn(program, ['connect'], { cwd: directory, stdio: 'ignore' });
    for (;;) {
      const nodes = (await ask(ann, { action: 'nodes' })).nodes[mesh] || [];
      if (nodes.length && (nodes[0].conn & 1)) { node = nodes[0]._id; break; }
      await sleep(200);
    }
    await sleep(1500);
    return { node, user: token.tokenUser, password: token.tokenPass };
  },
  async terminal(ann) {
    let out = '';
    const socket = await tunnel(ann, 1, text => { out += text; });
    socket.send(JSON.stringify({ ctrlChannel: '102938', type: 'options', cols: 80, rows: 24 }));
    socket.send('1');
    await sleep(1200);
    socket.send(Buffer.from('echo hello-$((40+2))\n'));
    for (let n = 0; n < 50 && !out.includes('hello-42'); n++) await sleep(100);
    socket.close();
    return { is_heard: out.includes('hello-42') };
  },
  async files(ann) {
    const folder = path.join(directory, 'files');
    fs.mkdirSync(folder);
    const socket = await tunnel(ann, 5);
    socket.send('5');
    const tell = async message => { socket.send(JSON.stringify(message)); await sleep(400); };
    await sleep(400);
    await tell({ action: 'mkdir', reqid: 2, path: folder + '/newdir' });
    await tell({ action: 'upload', reqid: 3, path: folder, name: 'up.bin', size: 11 });
    socket.send(Buffer.from('hello world'));
    await sleep(400);
    await tell({ action: 'uploaddone', reqid: 3 });
    await tell({ action: 'rename', reqid: 4, path: folder, oldname: 'up.bin', newname: 'up2.bin' });
    await tell({ action: 'download', sub: 'start', id: 77, path: folder + '/up2.bin' });
    await tell({ action: 'download', sub: 'startack', id: 77 });
    await tell({ action: 'rm', reqid: 8, path: folder, delfiles: ['up2.bin'], rec: false });
    socket.close();
    return { folder };
  },
  async chat(ann) {
    const cookie = await ask(ann, { action: 'authcookie' });
    const address = base.replace('http', 'ws') + '/meshrelay.ashx?id=meshmessenger/'
      + encodeURIComponent(node) + '/user%2F%2Fann';
    const a = new WebSocket(address + '&auth=' + cookie.cookie, loopback);
    await sleep(500);
    const b = new WebSocket(address, loopback);
    await sleep(1000);
    a.send(JSON.stringify({ action: 'chat', msg: 'Hello, how can I help?' }));
    await sleep(1100);
    b.send(JSON.stringify({ action: 'chat', msg: 'My printer <broken> & sad' }));
    await sleep(300);
    a.close(); b.close();
    return {};
  },
  async desktop(ann, bob) {
    const a = await tunnel(ann, 2);
    a.send('2');
    await sleep(1500);
    const b = await tunnel(bob, 2);
    b.send('2');
    await sleep(1500);
    b.close();
    await sleep(1200);
    a.close();
    return {};
  },
  async note(ann) {
    const msg = encodeURIComponent('Customer called about printer, ticket 42');
    ann.send({ action: 'setDeviceEvent', nodeid: node, msg });
    await sleep(300);
    return {};
  },
};

(async () => {
  const ann = technician('ann'), bob = technician('bob');
  await ann.ready; await bob.ready;
  const lines = require('readline').createInterface({ input: process.stdin });
  for await (const line of lines) console.log(JSON.stringify(await steps[line](ann, bob)));
  if (agent) agent.kill('SIGKILL');
  process.exit(0);
})();
