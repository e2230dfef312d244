import { binding } from './binding.js'

/**
 * Tells whether the reader of a pipe or the peer of a socket has closed it: the next write would fail with
 * EPIPE (poll(2), POLLERR and POLLHUP). A program that writes nothing for a long time learns it no other way.
 * @param fd a file descriptor; for a file, a terminal or a number that is not open: false
 */
export const isHungUp = (fd: number): boolean => binding.hungUp(fd) === 1
