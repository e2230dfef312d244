/** An answer takes milliseconds; whoever is slower holds a socket for nothing. Options of node:http. */
export const TIMEOUTS = { requestTimeout: 5000, headersTimeout: 2000, connectionsCheckingInterval: 500 }
