$ErrorActionPreference='Stop'
$ProgressPreference='SilentlyContinue'
$item='WSMan:\localhost\Service\Auth\CredSSP'
$svc=New-Object -ComObject Schedule.Service
$svc.Connect()
function Folder{try{$svc.GetFolder('\winrmkit')}catch{$null}}
function Leases{$f=Folder;if($f){foreach($t in $f.GetTasks(1)){if($t.Name -like 'credssp-*' -and $t.Xml -match '<UserId>S-1-5-18</UserId>'){$t}}}}
function Was($t){if($t.Definition.Data -match 'was=(true|false)'){$Matches[1]}else{'false'}}
function Now{$i=Get-Item $item;New-Object PSObject -Property @{Value="$($i.Value)".ToLower();Source="$($i.SourceOfValue)"}}
function Switch-To($v){Set-Item $item -Value $v -Force;$n=(Now).Value;if($n -ne $v){throw "CredSSP was set to $v, but is $n"}}
function Release($id){
  $l=@(Leases);$t=$l|Where-Object{$_.Name -eq "credssp-$id"};$n=Now
  if(-not $t){return "state=gone;now=$($n.Value);leases=$($l.Count)"}
  $w=Was $t;$s='restored'
  if($l.Count -gt 1){$s='shared'}elseif($n.Source -eq 'GPO'){$s='policy'}elseif($n.Value -ne $w){Switch-To $w}
  (Folder).DeleteTask($t.Name,0)
  "state=$s;was=$w;now=$((Now).Value);leases=$($l.Count-1)"
}
function Locked($do){
  $a=New-Object Security.AccessControl.MutexSecurity
  foreach($s in 'S-1-5-18','S-1-5-32-544'){
    $sid=New-Object Security.Principal.SecurityIdentifier($s)
    $a.AddAccessRule((New-Object Security.AccessControl.MutexAccessRule($sid,'FullControl','Allow')))
  }
  $new=$false
  $m=New-Object Threading.Mutex($false,'Global\winrmkit-credssp',[ref]$new,$a)
  try{$got=$m.WaitOne(60000)}catch [Threading.AbandonedMutexException]{$got=$true}
  if(-not $got){throw 'another winrmkit script holds the lock for a minute'}
  try{& $do}finally{$m.ReleaseMutex();$m.Close()}
}
