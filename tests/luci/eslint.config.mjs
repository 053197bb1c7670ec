// The rules are those of LuCI's own eslint.config.mjs (ecmaVersion 2026, script,
// globalReturn, its globals), with what it only warns of made an error.
import js from '@eslint/js';
import globals from 'globals';

const luci = [
	'_', 'N_', 'L', 'E', 'TR', 'cbi_update_table', 'isElem', 'toElem', 'findParent',
	'baseclass', 'dom', 'form', 'fs', 'network', 'poll', 'request', 'rpc', 'session', 'uci', 'ui', 'validation', 'view', 'widgets',
];

// Modules of this app, as `'require remsim.NAME as NAME'` makes them known.
const own = [
	'action', 'api', 'chart', 'contact', 'credentials', 'draw', 'format', 'live', 'model', 'modemcard', 'options', 'picture', 'setup', 'sse', 'table', 'timeline', 'words',
];

export default [ {
	files: [ '**/*.js' ],
	languageOptions: {
		sourceType: 'script',
		ecmaVersion: 2026,
		globals: { ...globals.browser, ...Object.fromEntries([ ...luci, ...own ].map(name => [ name, 'readonly' ])) },
		parserOptions: { ecmaFeatures: { globalReturn: true } },
	},
	rules: {
		...js.configs.recommended.rules,
		'no-prototype-builtins': 'off',
		'no-regex-spaces': 'off',
		'no-control-regex': 'off',
		'no-undef': 'error',
		'no-unused-vars': [ 'error', { caughtErrors: 'none' } ],
		'no-empty': 'off',
	},
} ];
