import { binding } from './binding.js'

/**
 * Whether whoever was to read what goes to a pipe is gone: the next write would fail (EPIPE). Who has nothing to write for a
 * long time asks now and then, and ends. @param fd a file descriptor; of anything else than a pipe or socket: false
 */
export const isHungUp = (fd: number): boolean => binding.hungUp(fd) === 1
