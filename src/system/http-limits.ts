/**
 * Time limits of an HTTP server in milliseconds (options of node:http). A client that is slower only holds a
 * socket.
 */
export const TIMEOUTS = { requestTimeout: 5000, headersTimeout: 2000, connectionsCheckingInterval: 500 }

/** A client that does not take its answer in this time loses the connection: milliseconds. */
export const TAKE_MS = 5000
