// peer.js: dcmjs-dimse as a device and as an archive or RIS.
//
//   node peer.js scu HOST PORT CALLING CALLED   operations as JSON on stdin
//   node peer.js scp PORT [KEY CERT CA]         PORT 0 for any; TLS with KEY
//
// scu performs all operations on one association, one after the other, and
// prints a line of JSON for each response and each event. An operation is
//   {op: "echo"} | {op: "find", level: "worklist"|"study"|"series"|"image",
//   keys: {}} | {op: "store", file: ""} | {op: "move", to: "", study: ""} |
//   {op: "get", study: ""} | {op: "create"|"set", class: "", instance: "",
//   data: {}} | {op: "action", class: "", instance: "", type: 1, data: {}}
// and "linger" (ms) beside the list keeps the association open after them.
// scp prints {listening: PORT}, then a line for each request it answers; with
// status.STATUS_OF_FIELD in the environment variable ANSWERS (JSON) it answers
// otherwise than with success. It never ends by itself.
'use strict';

const fs = require('fs');
const net = require('net');
const dimse = require('dcmjs-dimse');

const {Client, Dataset, Scp, Server} = dimse;
const {requests, responses} = dimse;
const {Status, TransferSyntax, PresentationContextResult} = dimse.constants;

dimse.log.setLevel('warn');

function say(value) {
  fs.writeSync(1, JSON.stringify(value) + '\n');
}

function hex(status) {
  return status.toString(16).padStart(4, '0');
}

function elements(dataset) {
  if (!dataset) return null;
  const copy = {...dataset.getElements()};
  for (const key of Object.keys(copy)) {
    if (key.startsWith('_')) delete copy[key];
    else if (copy[key] instanceof ArrayBuffer ||
        (Array.isArray(copy[key]) && copy[key][0] instanceof ArrayBuffer)) {
      const buffers = [].concat(copy[key]);
      copy[key] = {bytes: buffers.reduce((n, b) => n + b.byteLength, 0)};
    }
  }
  return copy;
}

// ---- device

const FINDS = {
  worklist: (k) => requests.CFindRequest.createWorklistFindRequest(k),
  study: (k) => requests.CFindRequest.createStudyFindRequest(k),
  series: (k) => requests.CFindRequest.createSeriesFindRequest(k),
  image: (k) => requests.CFindRequest.createImageFindRequest(k),
};

function makeRequest(o) {
  let r;
  switch (o.op) {
    case 'echo':
      return new requests.CEchoRequest();
    case 'find':
      r = FINDS[o.level](o.keys);
      // exactly these keys: FF01, for others, is a final answer to it
      if (o.level === 'worklist') r.setDataset(new Dataset(o.keys));
      return r;
    case 'store':
      return new requests.CStoreRequest(o.file);
    case 'move':
      return requests.CMoveRequest.createStudyMoveRequest(o.to, o.study);
    case 'get':
      return requests.CGetRequest.createStudyGetRequest(o.study);
    case 'create':
      r = new requests.NCreateRequest(o.class, o.instance);
      break;
    case 'set':
      r = new requests.NSetRequest(o.class, o.instance);
      break;
    case 'action':
      r = new requests.NActionRequest(o.class, o.instance, o.type);
      break;
    default:
      throw new Error('no operation ' + o.op);
  }
  r.setDataset(new Dataset(o.data, TransferSyntax.ExplicitVRLittleEndian));
  return r;
}

function scu(host, port, calling, called) {
  const {operations, linger, identity} = JSON.parse(fs.readFileSync(0));
  const client = new Client();
  let failed = false;
  operations.forEach((o, i) => {
    const request = makeRequest(o);
    request.on('response', (response) => {
      const line = {operation: i, op: o.op, status: hex(response.getStatus())};
      if (response.hasDataset()) line.data = elements(response.getDataset());
      if (o.op === 'move' || o.op === 'get') {
        line.completed = response.getCompleted();
        line.failed = response.getFailures();
      }
      say(line);
    });
    client.addRequest(request);
  });
  client.on('cStoreRequest', (request, callback) => {
    say({event: 'store', instance: request.getAffectedSopInstanceUid(),
      data: elements(request.getDataset())});
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  });
  client.on('nEventReportRequest', (request, callback) => {
    say({event: 'report', type: request.getEventTypeId(),
      data: elements(request.getDataset())});
    const response = responses.NEventReportResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  });
  for (const name of ['associationAccepted', 'associationReleased',
    'associationRejected']) {
    client.on(name, (x) => {
      const line = {event: name};
      if (name === 'associationAccepted') {
        line.contexts = x.getPresentationContexts().map(({context}) => [
          context.getAbstractSyntaxUid(), context.getResult()]);
      }
      say(line);
      failed = failed || name === 'associationRejected';
    });
  }
  client.on('networkError', (e) => {
    say({event: 'networkError', what: String(e)});
    failed = true;
  });
  client.on('closed', () => {
    say({event: 'closed'});
    process.exitCode = failed ? 1 : 0;
  });
  client.send(host, Number(port), calling, called, {
    associationLingerTimeout: linger, userIdentity: identity,
    datasetWriteOptions: {fragmentMultiframe: false}});
}

// ---- archive, RIS

const ANSWERS = JSON.parse(process.env.ANSWERS || '{}');

class Peer extends Scp {
  associationRequested(association) {
    say({event: 'association', calling: association.getCallingAeTitle(),
      called: association.getCalledAeTitle()});
    for (const {id} of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const wanted = context.getTransferSyntaxUids().find((ts) => [
        TransferSyntax.ExplicitVRLittleEndian,
        TransferSyntax.ImplicitVRLittleEndian].includes(ts));
      if (wanted) context.setResult(PresentationContextResult.Accept, wanted);
      else context.setResult(
          PresentationContextResult.RejectTransferSyntaxesNotSupported);
    }
    this.sendAssociationAccept();
  }

  told(kind, request, Response, callback, more = {}) {
    say({request: kind, data: elements(request.getDataset()), ...more});
    const response = Response.fromRequest(request);
    response.setStatus(parseInt(ANSWERS[kind] || '0', 16));
    callback(response);
  }

  cEchoRequest(request, callback) {
    this.told('echo', request, responses.CEchoResponse, callback);
  }

  cStoreRequest(request, callback) {
    this.told('store', request, responses.CStoreResponse, callback,
        {instance: request.getAffectedSopInstanceUid()});
  }

  cFindRequest(request, callback) {
    say({request: 'find', data: elements(request.getDataset())});
    const all = [];
    for (let i = 0; i < 40; i++) {
      const r = responses.CFindResponse.fromRequest(request);
      r.setDataset(new Dataset({PatientID: 'ID' + i,
        PatientName: 'FOUND^' + i}));
      r.setStatus(Status.Pending);
      all.push(r);
    }
    const last = responses.CFindResponse.fromRequest(request);
    last.setStatus(Status.Success);
    callback([...all, last]);
  }

  nCreateRequest(request, callback) {
    this.told('create', request, responses.NCreateResponse, callback,
        {instance: request.getAffectedSopInstanceUid()});
  }

  nSetRequest(request, callback) {
    this.told('set', request, responses.NSetResponse, callback,
        {instance: request.getRequestedSopInstanceUid()});
  }

  nActionRequest(request, callback) {
    this.told('action', request, responses.NActionResponse, callback,
        {type: request.getActionTypeId()});
  }

  nEventReportRequest(request, callback) {
    this.told('report', request, responses.NEventReportResponse, callback,
        {type: request.getEventTypeId()});
  }

  associationReleaseRequested() {
    say({event: 'released'});
    this.sendAssociationReleaseResponse();
  }

  abort() {
    say({event: 'aborted'});
  }
}

function freePort(then) {
  const s = net.createServer();
  s.listen(0, '127.0.0.1', () => {
    const {port} = s.address();
    s.close(() => then(port));
  });
}

function scp(port, key, cert, ca) {
  const server = new Server(Peer);
  const securityOptions = key && {
    key: fs.readFileSync(key), cert: fs.readFileSync(cert),
    ca: fs.readFileSync(ca), requestCert: true, rejectUnauthorized: true};
  server.on('networkError', (e) => say({event: 'networkError',
    what: String(e)}));
  server.listen(port, {securityOptions});
  say({listening: port});
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'scu') {
  scu(...rest);
} else if (mode === 'scp') {
  const [port, ...files] = rest;
  if (Number(port)) scp(Number(port), ...files);
  else freePort((p) => scp(p, ...files));
} else {
  console.error('usage: peer.js scu|scp ...');
  process.exit(2);
}
