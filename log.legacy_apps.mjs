- Apollo iOS waits for the acknowledgement, counts its operations, and leaves the closing to the server
node:internal/modules/run_main:123
    triggerUncaughtException(
    ^

Error: connect ECONNREFUSED 127.0.0.1:38171
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16) {
  errno: -111,
  code: 'ECONNREFUSED',
  syscall: 'connect',
  address: '127.0.0.1',
  port: 38171
}

Node.js v20.20.2
