$ErrorActionPreference='Stop'
$ProgressPreference='SilentlyContinue'
$uri='http://schemas.microsoft.com/wbem/wsman/1/config/service/auth'
$svc=New-Object -ComObject Schedule.Service
[void]$svc.Connect()
function Folder{foreach($f in $svc.GetFolder('\').GetFolders(0)){if($f.Name -eq 'winrmkit'){$f}}}
function Leases{$f=Folder;if($f){foreach($t in $f.GetTasks(1)){if($t.Name -like 'credssp-*' -and ([xml]$t.Xml).Task.Principals.Principal.UserId -eq 'S-1-5-18'){$t}}}}
function Was($t){if($t.Definition.Data -match 'was=(true|false)'){$Matches[1]}else{'false'}}
function Session{(New-Object -ComObject WSMan.Automation).CreateSession()}
function Now{
  $e=([xml]((Session).Get($uri,0))).DocumentElement.SelectSingleNode("*[local-name()='CredSSP']")
  if($null -eq $e){throw 'this host has no Service\Auth\CredSSP'}
  New-Object PSObject -Property @{Value=$e.InnerText.Trim().ToLowerInvariant();Source=$e.GetAttribute('Source')}
}
function Switch-To($v){
  [void](Session).Put($uri,"<cfg:Auth xmlns:cfg=`"$uri`"><cfg:CredSSP>$v</cfg:CredSSP></cfg:Auth>",0)
  $n=(Now).Value;if($n -ne $v){throw "CredSSP was set to $v, but is $n"}
}
function Release($id){
  $l=@(Leases);$t=$l|Where-Object{$_.Name -eq "credssp-$id"};$n=Now
  if(-not $t){return "state=gone;now=$($n.Value);leases=$($l.Count)"}
  $w=Was $t;$s='restored'
  if($l.Count -gt 1){$s='shared'}elseif($n.Source -eq 'GPO'){$s='policy'}elseif($n.Value -ne $w){Switch-To $w}
  [void](Folder).DeleteTask($t.Name,0)
  if($l.Count -eq 1){try{[void]$svc.GetFolder('\').DeleteFolder('winrmkit',0)}catch{}}
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
  try{$got=$m.WaitOne(60000,$false)}catch [Threading.AbandonedMutexException]{$got=$true}
  if(-not $got){throw 'another winrmkit script holds the lock for a minute'}
  try{& $do}finally{$m.ReleaseMutex();$m.Close()}
}
