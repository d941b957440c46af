$ErrorActionPreference='Stop'
$ProgressPreference='SilentlyContinue'
$root=[Microsoft.Win32.Registry]::LocalMachine
$path='SOFTWARE\Policies\Microsoft\Windows\CredentialsDelegation'
$switches=@{AllowFreshCredentials='ConcatenateDefaults_AllowFresh';AllowFreshCredentialsWhenNTLMOnly='ConcatenateDefaults_AllowFreshNTLMOnly'}
function On($list){$d=$root.OpenSubKey($path);if($d){$d.GetValue($list) -eq 1}else{$false}}
function Names($list){
  $k=$root.OpenSubKey("$path\$list")
  if($k){
    foreach($n in @($k.GetValueNames()|Sort-Object {if($_ -match '^[0-9]{1,9}$'){[int]$_}else{[int]::MaxValue}},{$_})){
      if('String','ExpandString' -contains $k.GetValueKind($n)){$k.GetValue($n)}
    }
  }
}
function Save($list,$names){
  $d=$root.CreateSubKey($path)
  if($names.Count -eq 0){
    if($d.OpenSubKey($list)){$d.DeleteSubKeyTree($list)}
    $d.DeleteValue($list,$false);$d.DeleteValue($switches[$list],$false)
    return
  }
  $k=$d.CreateSubKey($list)
  for($i=0;$i -lt $names.Count;$i++){$k.SetValue("$($i+1)",[string]$names[$i],'String')}
  foreach($n in $k.GetValueNames()){if($n -notmatch '^[1-9][0-9]{0,8}$' -or [int]$n -gt $names.Count){$k.DeleteValue($n)}}
  $d.SetValue($list,1,'DWord');$d.SetValue($switches[$list],1,'DWord')
}
try{
  foreach($list in $lists){
    $have=@(Names $list);$want=$have
    if($add){foreach($n in $add){if($want -notcontains $n){$want=@($want)+$n}}}
    if($all){$want=@($want|Where-Object{$_ -notlike 'wsman*'})}
    if($remove){$want=@($want|Where-Object{$remove -notcontains $_})}
    if((($want -join "`n") -ne ($have -join "`n")) -or ($add -and -not (On $list))){Save $list @($want)}
    if(On $list){foreach($n in @(Names $list)){"winrmkit: list=$list;name=$n"}}
  }
  'winrmkit: end'
}catch{[Console]::Error.WriteLine($_.Exception.Message);exit 1}
