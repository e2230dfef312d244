/**
 * Time limits of an HTTP server in milliseconds (options of node:http). A client that is slower only holds a
 * socket.
 */
export const TIMEOUTS = { requestTimeout: 5000, headersTimeout: 2000, connectionsCheckingInterval: 500 }
