/** Which compiled file a test of the core covers: dist/test/core/x.test.js covers dist/src/core/x.js. */
export default (test) => test.replace('dist/test/', 'dist/src/').replace('.test.js', '.js')
