'use strict';

/* Dark or light as the browser wishes, as LuCI's bootstrap theme does it. */
(function() {
	const dark = window.matchMedia('(prefers-color-scheme: dark)');
	const set = (query) => document.documentElement.setAttribute('data-darkmode', query.matches);
	dark.addEventListener('change', set);
	set(dark);
})();
