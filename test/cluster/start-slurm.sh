#!/usr/bin/env bash
# Starts a Slurm of one machine on the loopback: munged, slurmctld and slurmd, with all their files in one folder.
# Usage: source start-slurm.sh FOLDER   Then sbatch, squeue and the rest talk to it, until `stop_slurm`.
# Needs root, as slurmd does.
slurm_folder=$1

install_slurm() {
  command -v slurmctld slurmd munged >/dev/null && return
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null
}

free_port() {
  node --eval 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

write_config() {
  local name
  name=$(hostname --short)
  mkdir -p "$slurm_folder"/{state,spool,munge}
  head --bytes 1024 /dev/urandom >"$slurm_folder/munge.key"
  chmod 400 "$slurm_folder/munge.key"
  # More processors than there may be: the tasks of an array shall run at once.
  cat >"$slurm_folder/slurm.conf" <<CONF
ClusterName=loopback
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$slurm_folder/munge/socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MinJobAge=300
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation=$slurm_folder/state
SlurmdSpoolDir=$slurm_folder/spool
SlurmctldLogFile=$slurm_folder/slurmctld.log
SlurmdLogFile=$slurm_folder/slurmd.log
SlurmctldPidFile=$slurm_folder/slurmctld.pid
SlurmdPidFile=$slurm_folder/slurmd.pid
NodeName=$name NodeAddr=127.0.0.1 CPUs=16 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=$name Default=YES MaxTime=INFINITE State=UP
CONF
}

stop_slurm() {
  local pid
  for pid in $(cat "$slurm_folder"/{slurmd,slurmctld,munged}.pid 2>/dev/null); do
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  done
}

start_slurm() {
  write_config
  export SLURM_CONF=$slurm_folder/slurm.conf
  munged --force --key-file "$slurm_folder/munge.key" --socket "$slurm_folder/munge/socket" \
    --pid-file "$slurm_folder/munged.pid" --log-file "$slurm_folder/munged.log" --seed-file "$slurm_folder/munge/seed"
  slurmctld
  slurmd
  local try
  for try in $(seq 100); do
    if sinfo --noheader --format %T 2>/dev/null | grep --quiet idle; then return; fi
    sleep 0.2
  done
  tail -n 20 "$slurm_folder"/*.log >&2
  echo "Slurm did not come up." >&2
  return 1
}

install_slurm
start_slurm
