- the credentials are taken, and the connection is kept alive by messages
file:///work/main/tests/clients/demo.mjs:169
    timer = setTimeout(() => reject(new Error(`nothing came for ${seconds} s`)), seconds * 1000);
                                    ^

Error: nothing came for 30 s
    at Timeout.<anonymous> (file:///work/main/tests/clients/demo.mjs:169:37)
    at listOnTimeout (node:internal/timers:581:17)
    at process.processTimers (node:internal/timers:519:7)

Node.js v20.20.2
