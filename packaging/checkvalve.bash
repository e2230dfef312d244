# Completion of checkvalve for bash: /usr/share/bash-completion/completions/checkvalve
# A test compares it with the commands and their options.

_checkvalve_commands='run check show-config ruleset status explain tail suggest replay allow mode release doctor version help'

# Prints the options of a command, without those that all commands have.
_checkvalve_options() {
  case $1 in
    status) echo --watch --all --json ;;
    explain) echo --user --unit --from-port --question --offline --json ;;
    allow) echo --to --ports --protocol --user --unit --when-silent --ttl --replace --json --names ;;
    tail) echo --lines --since --user --unit --json --follow --no-follow ;;
    suggest) echo --since --user --unit --json --merge ;;
    replay) echo --policy --since --json ;;
    doctor) echo --json ;;
  esac
}

# The settings that --set may override.
_checkvalve_settings='mode block fallback onStop transparentUsers firewall.queue firewall.mark.mask queue.first queue.count queue.maxLength
  sessions.capacity sessions.tcpTimeout sessions.udpTimeout sessions.services sessions.callbacks infrastructure.dns
  infrastructure.ntp infrastructure.dhcp dns.holdAnswers dns.holdTime dns.resolve dns.grace dns.keepUsed dns.enforceNames
  dns.searchDomains dns.reverse mirrors.discover mirrors.root mirrors.hosts mirrors.ports mirrors.users allow
  containment.destinations containment.window containment.action containment.duration containment.contain containment.users
  log.destination log.level
  metrics.listen metrics.path metrics.webConfig control.socket state.directory canary.target canary.interval'

# Fills COMPREPLY with the lines of standard input that begin with $1. A name may have spaces in it.
_checkvalve_pick() {
  local line
  while IFS= read -r line; do
    if [[ $line == "$1"* ]]; then COMPREPLY+=("$(printf %q "$line")"); fi
  done
}

_checkvalve_words() {
  local cur=$1
  shift
  mapfile -t COMPREPLY < <(compgen -W "$*" -- "$cur")
}

_checkvalve_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# Completes the value of option $1. Fails when the option takes no value.
_checkvalve_value() {
  local cur=$2
  case $1 in
    --config | -c | --policy) _checkvalve_files "$cur" ;;
    --set)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -S = -W "$_checkvalve_settings" -- "$cur")
      ;;
    --user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
    --unit)
      _checkvalve_pick "$cur" < <(
        systemctl list-units --type=service,slice --all --plain --no-legend --no-pager 2>/dev/null | cut -d ' ' -f 1
      )
      ;;
    --protocol) _checkvalve_words "$cur" tcp udp icmp any ;;
    --when-silent) _checkvalve_words "$cur" users closed open ;;
    --ttl) _checkvalve_words "$cur" 30m 2h 1d 7d ;;
    --since) _checkvalve_words "$cur" 10m 2h 1d today ;;
    --to | --ports | --from-port | --question | --lines | -n) ;;
    *) return 1 ;;
  esac
}

# Completes the arguments of a command: $1 is the program, $2 the command, $3 the current word, the rest came before.
_checkvalve_word() {
  local program=$1 command=$2 cur=$3
  shift 3
  case "$command $#" in
    'allow 0') _checkvalve_words "$cur" add remove list ;;
    'allow 1')
      if [[ $1 == remove ]]; then
        _checkvalve_pick "$cur" < <("$program" allow list --names "${_checkvalve_config[@]}" 2>/dev/null)
      fi
      ;;
    'release 0') mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
    'mode 0') _checkvalve_words "$cur" observe enforce ;;
    'explain 0') _checkvalve_words "$cur" tcp udp icmp ;;
    'help 0') _checkvalve_words "$cur" "$_checkvalve_commands" ;;
    'tail 0' | 'suggest '* | 'replay 0') _checkvalve_files "$cur" ;;
  esac
}

_checkvalve() {
  local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' word i
  local -a words=() _checkvalve_config=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --config | -c) _checkvalve_config=(--config "${COMP_WORDS[++i]-}") ;;
      # bash takes key=value for three words.
      --set) if [[ ${COMP_WORDS[i + 2]-} == = ]]; then ((i += 3)); else ((i++)); fi ;;
      -*) if _checkvalve_value "$word" ''; then ((i++)); fi ;;
      *) if [[ -z $command ]]; then command=$word; else words+=("$word"); fi ;;
    esac
  done
  COMPREPLY=()
  if _checkvalve_value "$before" "$cur"; then return; fi
  if [[ $cur == -* ]]; then
    _checkvalve_words "$cur" "$(_checkvalve_options "$command")" --config --set --help
  elif [[ -z $command ]]; then
    _checkvalve_words "$cur" "$_checkvalve_commands"
  else
    _checkvalve_word "${COMP_WORDS[0]}" "$command" "$cur" "${words[@]}"
  fi
}

complete -F _checkvalve checkvalve
