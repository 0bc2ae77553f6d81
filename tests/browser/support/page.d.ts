/** What the page keeps for support and for these tests; it exists only in code that runs in the page. */
declare var lanturn: any;
/** What support/member.js leaves in its pages. */
declare var me: any;
