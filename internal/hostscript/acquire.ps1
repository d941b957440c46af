function Register($id,$was,$ttl,$dead){
  if(-not (Folder)){[void]$svc.GetFolder('\').CreateFolder('winrmkit')}
  $d=$svc.NewTask(0)
  $d.RegistrationInfo.Description='winrmkit: puts WSMan:\localhost\Service\Auth\CredSSP back if the program that switched it on does not.'
  $d.Data="was=$was"
  $d.Principal.UserId='S-1-5-18'
  $d.Principal.LogonType=5
  $d.Principal.RunLevel=1
  $d.Settings.StartWhenAvailable=$true
  $d.Settings.DisallowStartIfOnBatteries=$false
  $d.Settings.StopIfGoingOnBatteries=$false
  $d.Settings.ExecutionTimeLimit='PT15M'
  [void]$d.Triggers.Create(8)
  $t=$d.Triggers.Create(1)
  $t.StartBoundary=[DateTime]::UtcNow.AddSeconds($ttl).ToString('s')+'Z'
  $t.Repetition.Interval='PT5M'
  $a=$d.Actions.Create(0)
  $a.Path="$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe"
  $a.Arguments="-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand $dead"
  [void](Folder).RegisterTaskDefinition("credssp-$id",$d,6,$null,$null,5)
}
try{
  Locked{
    $l=@(Leases);$own=$l|Where-Object{$_.Name -eq "credssp-$id"};$n=Now
    if($n.Source -eq 'GPO'){"winrmkit: state=policy;now=$($n.Value)";return}
    if($renew -and -not $own){"winrmkit: state=gone;now=$($n.Value)";return}
    if($l.Count){$was=Was $l[0]}
    elseif($n.Value -eq 'true'){"winrmkit: state=on;now=true";return}
    else{$was=$n.Value}
    Register $id $was $ttl $dead
    if($n.Value -ne 'true'){Switch-To 'true'}
    "winrmkit: state=leased;was=$was;now=$((Now).Value);leases=$(@(Leases).Count)"
  }
}catch{[Console]::Error.WriteLine($_.Exception.Message);exit 1}
