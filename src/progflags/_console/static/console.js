// Keeps a page as it is now. Without it the page is as it was when it was loaded; nothing else needs it.
"use strict";
