import { mount } from 'svelte';
import './design/tokens.css';
import './design/base.css';
import './design/controls.css';
import './design/layout.css';
import './design/overlays.css';
import App from './App.svelte';
import { startRouter } from './lib/router.svelte';

startRouter();
const target = document.getElementById('app');
if (target) mount(App, { target });
