'use strict';
'require baseclass';

/* Server-sent events (HTML Living Standard §9.2.6) out of the pieces in which a
   stream arrives. Pure. Only what uhttpd sends is understood: event and data. */

/* More than this without an end is no event of ours. */
const most = 65536;

return baseclass.extend({
	parser() {
		let rest = '';
		return piece => {
			const blocks = (rest + piece).replaceAll('\r\n', '\n').split('\n\n');
			rest = blocks.pop();
			if (rest.length > most)
				rest = '';
			return blocks.map(block => {
				const event = { name: 'message', data: '' };
				for (const line of block.split('\n')) {
					if (line.startsWith('event:'))
						event.name = line.slice(6).trim();
					else if (line.startsWith('data:'))
						event.data += line.slice(5).trim();
				}
				return event;
			}).filter(event => event.data != '');
		};
	},
});
