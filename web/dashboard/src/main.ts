import { mount } from 'svelte'
import App from './App.svelte'
import { loginCode } from './lib/routes'
import './styles/tokens.css'
import './styles/base.css'

// A login code leaves the address bar before anything else happens.
const code = loginCode(location.hash)
if (location.hash !== '') history.replaceState(history.state, '', location.pathname + location.search)

const target = document.getElementById('app')
if (target !== null) mount(App, { target, props: { code } })
